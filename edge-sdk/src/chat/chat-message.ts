/** One turn of a conversation. */
export interface ChatMessage {
  /** `user`, `assistant` and, where the model knows it, `system`. */
  role: string;
  content: string;
}

export interface ChatTemplateOptions {
  /** Whether the text ends where the assistant begins to speak. Default true. */
  addGenerationPrompt?: boolean;
}

/** A chat template; its code is loaded where a model has one. */
export interface ChatRenderer {
  render(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}
