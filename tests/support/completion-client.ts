/** What a test asks `/v1/completions` for, over real HTTP. */
export interface CompletionAnswer {
  status: number;
  body: {
    choices: { text: string; finish_reason: string | null }[];
    usage?: Record<string, number>;
    error?: { message: string; type: string; param: string | null; code: string | null };
    [field: string]: unknown;
  };
}

export async function complete(
  port: number,
  asked: unknown,
  headers: Record<string, string> = {},
): Promise<CompletionAnswer> {
  const answer = await post(port, asked, headers);
  return { status: answer.status, body: (await answer.json()) as CompletionAnswer['body'] };
}

/** The data of every event of a streamed answer, in order; `[DONE]` stays a text. */
export async function streamed(
  port: number,
  asked: object,
  signal?: AbortSignal,
): Promise<(CompletionAnswer['body'] | '[DONE]')[]> {
  const answer = await post(port, { ...asked, stream: true }, {}, signal);
  const events = (await answer.text()).split('\n\n').filter((event) => event !== '');
  return events.map((event) => {
    const data = event.replace(/^data: /, '');
    return data === '[DONE]' ? data : (JSON.parse(data) as CompletionAnswer['body']);
  });
}

export function post(
  port: number,
  asked: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/v1/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof asked === 'string' ? asked : JSON.stringify(asked),
    ...(signal ? { signal } : {}),
  });
}
