export { type ChatRequest, readChatRequest } from './chat-request.js';
export {
  type CompletionHead,
  type CompletionPart,
  type CompletionUsage,
  chatAnswer,
  chatPart,
  completionAnswer,
  type FinishReason,
  modelList,
  readCompletionPart,
  sseEvent,
  usageAnswer,
  usageOf,
} from './completion-answer.js';
export {
  type CommonRequest,
  type CompletionRequest,
  completionRequestSchema,
  readCompletionRequest,
} from './completion-request.js';
export { OpenAiError, toOpenAiError } from './openai-error.js';
