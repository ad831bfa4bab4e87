export const TABLES: Record<string, Record<string, () => string>>;
export function withTables(file: string, text: string): string;
