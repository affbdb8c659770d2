// Rasterises every drawing of every thing once, so that composing a scene is a cheap paste.
//
//   node draw.mjs things.txt PACKAGES_DIR OUT_DIR
//
// writes OUT_DIR/sprites.rgba (N x 128 x 128 x 4 bytes) and OUT_DIR/sprites.json (N rows: thing, style, slug).
import { createRequire } from 'node:module';
import { readFileSync, readdirSync, writeFileSync, createWriteStream, mkdirSync } from 'node:fs';
import { once } from 'node:events';

const SIZE = 128;
const MARGIN = 2; // empty rim left after trimming, so that rotation does not clip
const ICON_STYLES = ['noto', 'noto-v1', 'twemoji', 'fluent-emoji-flat', 'fluent-emoji', 'emojione', 'fxemoji'];
// Firefox OS emoji have names of their own where the Unicode name is long.
const FX_NAMES = {
  'dog-face': 'dog',
  dog: 'dogside',
  'cat-face': 'cat',
  cat: 'catside',
  'cow-face': 'cowface',
  'pig-face': 'pigface',
  pig: 'pigside',
  'mouse-face': 'mouse',
  mouse: 'mouseside',
  'rabbit-face': 'bunny',
  rabbit: 'bunnyside',
  panda: 'pandaface',
  'lady-beetle': 'ladybeetle',
  'cherry-blossom': 'cherryblossom',
  'evergreen-tree': 'evergreen',
  'deciduous-tree': 'deciduoustree',
  'palm-tree': 'palmtree',
  'four-leaf-clover': 'fourleafclover',
  'maple-leaf': 'mapleleaf',
  'green-apple': 'greenapple',
  'red-apple': 'redapple',
  eggplant: 'aubergine',
  'ear-of-corn': 'earofmaize',
  'french-fries': 'frenchfries',
  'cooked-rice': 'cookedrice',
  'soft-ice-cream': 'softicecream',
  'birthday-cake': 'birthdaycake',
  'chocolate-bar': 'chocolatebar',
  'honey-pot': 'honeypot',
  'baby-bottle': 'babybottle',
  'hot-beverage': 'hotbeverage',
  'wine-glass': 'wineglass',
  'cocktail-glass': 'cocktailglass',
  'beer-mug': 'beermug',
  scissors: 'blackscissors',
  'straight-ruler': 'straightruler',
  locked: 'lock',
  'fishing-pole': 'fishingpoleandfish',
  house: 'housebuilding',
  'house-with-garden': 'housewithgarden',
  'office-building': 'officebuilding',
  castle: 'europeancastle',
  'circus-tent': 'circustent',
  'ferris-wheel': 'ferriswheel',
  'fire-engine': 'fireengine',
  'police-car': 'policecar',
  'oncoming-bus': 'oncomingbus',
  'oncoming-taxi': 'oncomingtaxi',
  'delivery-truck': 'deliverytruck',
  'articulated-lorry': 'articulatedlorry',
  'horizontal-traffic-light': 'horizontaltrafficlight',
  'fuel-pump': 'fuelpump',
  'full-moon': 'fullmoon',
  'crescent-moon': 'crescentmoon',
  'globe-showing-europe-africa': 'europeafricaglobe',
  'globe-showing-americas': 'americasglobe',
  'globe-showing-asia-australia': 'asiaaustraliaglobe',
  'jack-o-lantern': 'jackolantern',
  'christmas-tree': 'christmastree',
  'crystal-ball': 'crystalball',
  'game-die': 'gamedie',
  'soccer-ball': 'soccerball',
  'american-football': 'americanfootball',
  'pool-8-ball': 'billiards',
  't-shirt': 'tshirt',
  'mans-shoe': 'mensshoe',
  'high-heeled-shoe': 'heels',
  'musical-keyboard': 'musicalkeyboard',
  'musical-note': 'musicalnote',
  'desktop-computer': 'desktopcomputer',
  'movie-camera': 'moviecamera',
  'camera-with-flash': 'camerawithflash',
  'light-bulb': 'lightbulb',
  'alarm-clock': 'alarmclock',
  'hourglass-not-done': 'hourglassflowingsand',
  'closed-book': 'closedbook',
  'green-book': 'greenbook',
  'orange-book': 'orangebook',
  'blue-book': 'bluebook',
  'open-book': 'openbook',
  'money-bag': 'moneybag',
  'dollar-banknote': 'banknotedollar',
  'file-folder': 'filefolder',
  'bar-chart': 'barchart',
  'gem-stone': 'gem',
  'artist-palette': 'artistpalette',
  joker: 'playingcardblackjoker',
};

const [thingsFile, packages, out] = process.argv.slice(2);
const require = createRequire(`${packages}/package.json`);
const sharp = require('sharp');
const slugOf = (label) =>
  label
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\u0300-\u036f’'.,()!:“”]/g, '')
    .replace(/&/g, 'and')
    .replace(/ +/g, '-');

const things = readFileSync(thingsFile, 'utf8')
  .split('\n')
  .filter((line) => line && !line.startsWith('#'))
  .flatMap((line) =>
    line
      .slice(line.indexOf(': ') + 2)
      .split(', ')
      .map((entry) => {
        const [name, slugs] = entry.split('/')[0].split('=');
        return { name, slugs: slugs ? slugs.split('+') : [name.replaceAll(' ', '-')] };
      }),
  );

function svgSource(style) {
  const set = require(`@iconify-json/${style}/icons.json`);
  return (slug) => {
    const icon =
      set.icons[style === 'fxemoji' ? (FX_NAMES[slug] ?? slug) : slug] ?? set.icons[set.aliases?.[slug]?.parent];
    if (!icon) return undefined;
    const box = `${icon.left ?? 0} ${icon.top ?? 0} ${icon.width ?? set.width ?? 16} ${icon.height ?? set.height ?? 16}`;
    return Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="256" height="256" viewBox="${box}">${icon.body}</svg>`,
    );
  };
}

function fluent3dSource() {
  const folder = `${packages}/node_modules/@lobehub/fluent-emoji-3d/assets`;
  const plain = (name) => name.toLowerCase().replace('.webp', '').replaceAll('-fe0f', '');
  const files = new Map(readdirSync(folder).map((name) => [plain(name), `${folder}/${name}`]));
  const emoji = require('emojibase-data/en/data.json');
  const bySlug = new Map(emoji.map((e) => [slugOf(e.label), files.get(plain(e.hexcode))]));
  return (slug) => bySlug.get(slug);
}

const styles = [...ICON_STYLES.map((style) => [style, svgSource(style)]), ['fluent-3d', fluent3dSource()]];
mkdirSync(out, { recursive: true });
const pixels = createWriteStream(`${out}/sprites.rgba`);
const rows = [];
for (const { name, slugs } of things) {
  for (const [style, source] of styles) {
    for (const slug of slugs) {
      const input = source(slug);
      if (!input) continue;
      const inner = SIZE - 2 * MARGIN;
      const trimmed = await sharp(input)
        .ensureAlpha()
        .resize(256, 256, { fit: 'contain', background: '#0000' })
        .trim({ background: '#0000', threshold: 1 })
        .toBuffer()
        .catch(() => undefined);
      if (!trimmed) continue; // an empty drawing
      const raw = await sharp(trimmed)
        .resize(inner, inner, { fit: 'contain', background: '#0000' })
        .extend({ top: MARGIN, bottom: MARGIN, left: MARGIN, right: MARGIN, background: '#0000' })
        .raw()
        .toBuffer();
      if (!pixels.write(raw)) await once(pixels, 'drain');
      rows.push({ thing: name, style, slug });
    }
  }
}
pixels.end();
await once(pixels, 'finish');
writeFileSync(`${out}/sprites.json`, JSON.stringify(rows));
console.log(`${rows.length} drawings of ${things.length} things`);
