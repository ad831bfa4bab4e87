import { explain, type Piece } from '@tandem/chat-parts';
import { type FormEvent, useState } from 'react';
import { type Mode, type Tandem, useChat, useConnection, useTandem } from './use-tandem.js';

const MODES: readonly Mode[] = ['exact', 'collaborative', 'device-only', 'cloud-only'];

export function App({ modelUrl, cloudUrl }: { modelUrl: string; cloudUrl: string }) {
  const [mode, setMode] = useState<Mode>('exact');
  const tandem = useTandem({ modelUrl, cloudUrl, mode });
  const session = tandem.state === 'ready' ? tandem.session : undefined;
  const connection = useConnection(session);
  const chat = useChat(tandem);
  const isRunning = chat.pieces !== undefined;
  return (
    <>
      <header>
        <h1>A story for two</h1>
        <ModeChoice mode={mode} onChange={setMode} />
        <p id="connection" className="connection" data-state={connection}>
          {connection}
        </p>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <div id="turns" className="turns" role="log" tabIndex={0} aria-label="Conversation" aria-busy={isRunning}>
        {chat.turns.map(({ by, text, pieces }, index) => (
          // Turns are only ever added at the end.
          // biome-ignore lint/suspicious/noArrayIndexKey: a turn's place is its identity
          <article key={index} className={`turn ${by}`} aria-label={by === 'you' ? 'You' : 'Model'}>
            {pieces ? <Pieces pieces={pieces} /> : text}
          </article>
        ))}
        {chat.pieces && <Answer pieces={chat.pieces} />}
      </div>
      <Ask isReady={session !== undefined} isRunning={isRunning} onSend={chat.send} onStop={chat.stop} />
      <p id="status" role="status">
        {chat.error ? explain(chat.error) : statusOf(tandem, isRunning)}
      </p>
    </>
  );
}

function Answer({ pieces }: { pieces: readonly Piece[] }) {
  return (
    <article className="turn model" aria-label="Model">
      <Pieces pieces={pieces} />
      <span className="provisional" aria-hidden="true">
        {pieces.at(-1)?.provisional}
      </span>
    </article>
  );
}

/** Text, coloured by where it was decided. */
function Pieces({ pieces }: { pieces: readonly Pick<Piece, 'text' | 'origin'>[] }) {
  return pieces.map(({ text, origin }, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: pieces are only ever added at the end
    <span key={index} className={origin}>
      {text}
    </span>
  ));
}

interface AskProps {
  isReady: boolean;
  isRunning: boolean;
  onSend(text: string): void;
  onStop(): void;
}

function Ask({ isReady, isRunning, onSend, onStop }: AskProps) {
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSend(text);
    setText('');
  };
  return (
    <form className="ask" onSubmit={submit}>
      <label htmlFor="prompt" className="aside">
        Your message
      </label>
      <textarea
        id="prompt"
        rows={2}
        placeholder="Once upon a time, there was a little girl named Mia who loved to paint."
        value={text}
        onChange={({ target }) => setText(target.value)}
      />
      <button type="submit" disabled={!isReady || isRunning}>
        Send
      </button>
      <button id="stop" type="button" disabled={!isRunning} onClick={onStop}>
        Stop
      </button>
    </form>
  );
}

function ModeChoice({ mode, onChange }: { mode: Mode; onChange(mode: Mode): void }) {
  return (
    <select aria-label="Mode" value={mode} onChange={({ target }) => onChange(target.value as Mode)}>
      {MODES.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  );
}

function statusOf(tandem: Tandem, isRunning: boolean): string {
  switch (tandem.state) {
    case 'loading':
      return tandem.progress ? `Loading, ${tandem.progress.stage}…` : 'Loading…';
    case 'failed':
      return explain(tandem.error);
    case 'ready':
      return isRunning ? 'Writing…' : 'Ready.';
  }
}
