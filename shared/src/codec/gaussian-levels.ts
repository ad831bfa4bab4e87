/**
 * Where a number between -1 and 1 is rounded to, when it is one of 256 Gaussian numbers divided by the largest of them:
 * the levels of least mean squared error (Lloyd 1957, Max 1960), found on three million such numbers and their mirror
 * images. Denser around zero than even steps are; NF4 (QLoRA, Dettmers et al. 2023) is the same idea with levels of
 * equal probability.
 *
 * They are constants of the wire: other levels need another codec name. The lower half is the mirrored upper half.
 */
const POSITIVE_16 = [0.04226, 0.12769, 0.21639, 0.3105, 0.41403, 0.53374, 0.68204, 0.89231];

/** With a level at zero in the middle. */
const POSITIVE_25 = [
  0.05407, 0.10858, 0.16426, 0.22164, 0.28141, 0.34462, 0.41222, 0.48623, 0.56943, 0.66639, 0.78592, 0.94947,
];

const POSITIVE_64 = [
  0.00918, 0.02753, 0.0459, 0.0643, 0.08297, 0.10183, 0.12112, 0.14054, 0.1603, 0.18036, 0.20094, 0.22194, 0.24365,
  0.26596, 0.28907, 0.31288, 0.33769, 0.36348, 0.39038, 0.41849, 0.44802, 0.47926, 0.51215, 0.54718, 0.58487, 0.62555,
  0.66986, 0.71845, 0.77189, 0.83251, 0.90339, 0.98989,
];

/** Ascending, by how many there are. */
export const GAUSSIAN_LEVELS = {
  16: mirrored(POSITIVE_16, []),
  25: mirrored(POSITIVE_25, [0]),
  64: mirrored(POSITIVE_64, []),
} as const;

function mirrored(positive: readonly number[], middle: readonly number[]): readonly number[] {
  return [...positive.map((level) => -level).reverse(), ...middle, ...positive];
}
