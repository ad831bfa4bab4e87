export function plots(): Record<string, string>;
