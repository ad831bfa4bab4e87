/** How a stage file stores its weights. */
export const FORMATS = ['f32', 'f16', 'q8', 'q4'] as const;
export type Format = (typeof FORMATS)[number];
