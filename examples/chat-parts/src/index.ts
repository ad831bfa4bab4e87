export { Conversation, type Piece, type PieceOrigin, type Turn } from './conversation.js';
export { explain } from './explain.js';
