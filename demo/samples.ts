/** A sample image, and suggested questions about it. */
export interface Sample {
  url: string;
  /** Alternative text. */
  alt: string;
  questions: readonly string[];
}

export const samples: readonly Sample[] = [
  {
    url: new URL('./samples/dog.png', import.meta.url).href,
    alt: 'A dog’s face on yellow',
    questions: ['What is this?', 'What kind of thing is this?', 'Describe the picture.'],
  },
  {
    url: new URL('./samples/apples.png', import.meta.url).href,
    alt: 'Three red apples on white',
    questions: ['How many red apples are there?', 'Describe the picture.', 'What color is the background?'],
  },
  {
    url: new URL('./samples/pair.png', import.meta.url).href,
    alt: 'A cat and a sailboat on blue',
    questions: ['What is on the right?', 'How many things are there?', 'What color is the background?'],
  },
  {
    url: new URL('./samples/tree.png', import.meta.url).href,
    alt: 'A sun above a tree on pink',
    questions: ['What is above the tree?', 'Where is the sun?', 'How many things are there?'],
  },
  {
    url: new URL('./samples/star.png', import.meta.url).href,
    alt: 'A purple star on white',
    questions: ['What shape is this?', 'What color is the star?', 'How heavy is it?'],
  },
  {
    url: new URL('./samples/word.png', import.meta.url).href,
    alt: 'The word OPEN in black on white',
    questions: ['What does it say?', 'What color is the background?', 'Who made this picture?'],
  },
];

/** Suggested questions about an image that is no sample. */
export const anyQuestions: readonly string[] = ['What is this?', 'Describe the picture.', 'How many things are there?'];
