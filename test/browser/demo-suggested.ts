/** The questions that the page suggests for each sample, in order, and what the right answer matches. */
export const SUGGESTED: readonly Readonly<Record<string, RegExp>>[] = [
  { 'What is this?': /^dog$/, 'What kind of thing is this?': /^animal$/, 'Describe the picture.': /dog.* yellow/ },
  {
    'How many red apples are there?': /^three$/,
    'Describe the picture.': /^three red apples.* white/,
    'What color is the background?': /^white$/,
  },
  {
    'What is on the right?': /^sailboat$/,
    'How many things are there?': /^two$/,
    'What color is the background?': /^blue$/,
  },
  {
    'What is above the tree?': /^sun$/,
    'Where is the sun?': /^top$/,
    'How many things are there?': /^two$/,
  },
  { 'What shape is this?': /^star$/, 'What color is the star?': /^purple$/, 'How heavy is it?': /^I cannot tell/ },
  {
    'What does it say?': /^OPEN$/,
    'What color is the background?': /^white$/,
    'Who made this picture?': /^I cannot tell/,
  },
];
