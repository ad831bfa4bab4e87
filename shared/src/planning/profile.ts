/**
 * What a step takes in virtual time: one machine on each side of the link. Figures are data: each names its source, and
 * what was derived from it.
 */
export interface Profile {
  name: string;
  /** Of the model that the times belong to: rows on the wire are this wide, whatever the width of the model that speaks. */
  width: number;
  /** One row through each device stage, on the device. */
  deviceStageMs: readonly number[];
  /** The same stages, run by the server (cloud-only and co-located). */
  cloudStageMs: readonly number[];
  /** One row through the stages behind the cut. */
  cloudTailMs: number;
  /** Each further row of a step costs this share of the first, per side. */
  furtherRowShare: { device: number; cloud: number };
  link: { name: string; upBytesPerS: number; downBytesPerS: number };
  sources: readonly string[];
}

/** `rows` at once through a stage that takes `oneRowMs` for one: weights are read once, so further rows are cheap. */
export function stepMs(oneRowMs: number, rows: number, furtherRowShare: number): number {
  return rows <= 0 ? 0 : oneRowMs * (1 + (rows - 1) * furtherRowShare);
}

/** 30 Mbit/s each way: bytes over communication time of the naive split in CE-CoLLM's table (31 and 29 Mbit/s). */
const CE_COLLM_LINK = { name: '30 Mbit/s each way', upBytesPerS: 3_750_000, downBytesPerS: 3_750_000 };
const THIRTY_MBIT = 'Link: the ~30 Mbit/s that CE-CoLLM’s own bytes and communication times come to (derived).';

const CE_COLLM_7B: Profile = {
  name: 'ce-collm-7b',
  width: 4096,
  deviceStageMs: [10, 9],
  cloudStageMs: [7, 7],
  cloudTailMs: 23,
  furtherRowShare: { device: 0.05, cloud: 0.05 },
  link: CE_COLLM_LINK,
  sources: [
    'A 7B model of 32 layers and width 4096, exits behind layers 8 and 16, cut behind 16 (CE-CoLLM, arXiv 2411.02829).',
    'Device: 192 s of edge time for 100 answers of about 100 tokens on Alpaca are 19 ms per token to the second exit (derived); 10 ms to the first, half the layers and its exit head.',
    'Cloud tail: 113 s of cloud time over about 4,960 requests are 23 ms (derived). Taken as it is for rows at layer 16, although the paper’s requests may begin behind layer 8: that favours the baseline.',
    'Cloud-only: 370 s for the same answers are 37 ms per token (derived); the two device stages in the cloud are the difference to the tail, halved.',
    'Further rows: 5 % of the first one each, on both sides (assumed: decoding is bound by reading weights).',
    THIRTY_MBIT,
  ],
};

const PHONE_1B: Profile = {
  name: 'phone-1b',
  width: 2048,
  deviceStageMs: [5, 5],
  cloudStageMs: [0.33, 0.33],
  cloudTailMs: 0.65,
  furtherRowShare: { device: 0.19, cloud: 0.05 },
  link: CE_COLLM_LINK,
  sources: [
    'Llama 3.2 1B: 16 layers, width 2048; exits and cut at a quarter and a half of the layers, as in the embedded model.',
    'Device: 50.2 tokens/s for the SpinQuant model on a OnePlus 12 (README of ExecuTorch’s llama example) are 20 ms per token, 10 ms for half the layers (derived); further rows from the same table’s 260.5 tokens/s of prompt: 3.8 of 20 ms (derived).',
    'Cloud: 762 tokens/s for a 1.1B Llama in 4 bits on an RTX 4090 (geerlingguy/ai-benchmarks, issue 43; llama.cpp) are 1.3 ms per token, shared out by layers (derived); further rows 5 % (assumed).',
    THIRTY_MBIT,
  ],
};

const LAPTOP_8B: Profile = {
  name: 'laptop-8b',
  width: 4096,
  deviceStageMs: [12, 12],
  cloudStageMs: [2.7, 2.7],
  cloudTailMs: 5.4,
  furtherRowShare: { device: 0.09, cloud: 0.05 },
  link: CE_COLLM_LINK,
  sources: [
    'Llama 3.1 8B: 32 layers, width 4096; exits and cut at a quarter and a half of the layers, as in the embedded model.',
    'Device: 20.9 tokens/s in q4_k_m on an Apple M4 with 16 GB (brand-o/normiebench, issue 3; llama.cpp) are 48 ms per token, 24 ms for half the layers (derived); further rows from the same run’s 225 tokens/s of prompt: 4.4 of 48 ms (derived).',
    'Cloud: 93 tokens/s for Llama 3 8B in Q6 on an RTX 4090 (dmatora/LLM-inference-speed-benchmarks, issue 10; llama.cpp) are 10.8 ms per token, shared out by layers (derived); further rows 5 % (assumed).',
    THIRTY_MBIT,
  ],
};

export const PROFILES: Readonly<Record<string, Profile>> = Object.fromEntries(
  [CE_COLLM_7B, PHONE_1B, LAPTOP_8B].map((profile) => [profile.name, profile]),
);
