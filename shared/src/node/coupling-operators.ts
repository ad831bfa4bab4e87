/**
 * Operators that make one row's numbers depend on the rows beside it: they take one scale for a whole tensor from its
 * contents. A harmless neighbour moves a row, a large one wipes it out, a NaN makes it NaN.
 */
const COUPLING_OPERATORS = ['DynamicQuantizeLinear', 'DynamicQuantizeMatMul', 'DynamicQuantizeLSTM'] as const;

const NEEDLES = COUPLING_OPERATORS.map((operator) => Buffer.from(operator));
const LONGEST = Math.max(...NEEDLES.map(({ length }) => length));

/**
 * Finds them in an ONNX file, piece by piece as it is read. A graph names its operators in plain text, so a search for the
 * words finds every node, and asks for no reader of the format; a file that holds one of them elsewhere is refused as well.
 */
export class CouplingOperators {
  #tail: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  #found: string | undefined;

  /** The first that has been seen. */
  get found(): string | undefined {
    return this.#found;
  }

  update(piece: Buffer): void {
    // A word may lie across two pieces.
    const seam = Buffer.concat([this.#tail, piece.subarray(0, LONGEST)]);
    for (const [index, needle] of NEEDLES.entries()) {
      if (piece.includes(needle) || seam.includes(needle)) this.#found ??= COUPLING_OPERATORS[index];
    }
    this.#tail =
      piece.length >= LONGEST ? piece.subarray(-LONGEST) : Buffer.concat([this.#tail, piece]).subarray(-LONGEST);
  }
}
