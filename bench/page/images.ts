/** A test image in the two forms that the sides need. */
export interface Image {
  blob: Blob;
  dataUrl: string;
}

const images = new Map<number, Promise<Image>>();

/** A 640x480 image of gradients and shapes, different for every number. Call it before the time is taken. */
export function image(number: number): Promise<Image> {
  const known = images.get(number) ?? draw(number);
  images.set(number, known);
  return known;
}

async function draw(number: number): Promise<Image> {
  const canvas = new OffscreenCanvas(640, 480);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  const hue = (number * 47) % 360;
  const gradient = context.createLinearGradient(0, 0, 640, 480);
  gradient.addColorStop(0, `hsl(${hue} 60% 80%)`);
  gradient.addColorStop(1, `hsl(${hue + 90} 60% 40%)`);
  context.fillStyle = gradient;
  context.fillRect(0, 0, 640, 480);
  for (let shape = 0; shape < 12; shape++) {
    context.fillStyle = `hsl(${(hue + shape * 30) % 360} 80% 50%)`;
    context.beginPath();
    context.arc((shape * 131 + number * 17) % 640, (shape * 89 + number * 29) % 480, 20 + shape * 4, 0, 7);
    context.fill();
  }
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
  const dataUrl = await new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(typeof reader.result === 'string' ? reader.result : '');
    reader.readAsDataURL(blob);
  });
  return { blob, dataUrl };
}
