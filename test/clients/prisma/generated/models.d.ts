export type * from './models/Article.ts';
export type * from './commonInputTypes.ts';
