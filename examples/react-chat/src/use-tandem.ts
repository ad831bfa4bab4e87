import { Conversation, type Piece, type Turn } from '@tandem/chat-parts';
import { EdgeModel, isTandemError, type LoadProgress, type Session, type SessionOptions } from '@tandem/edge';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';

export type Mode = NonNullable<SessionOptions['mode']>;

export type Tandem =
  | { state: 'loading'; progress?: LoadProgress }
  | { state: 'failed'; error: unknown }
  /** Without a session for the moment in which it is exchanged for one of another mode. */
  | { state: 'ready'; model: EdgeModel; session: Session | undefined };

export interface TandemOptions {
  /** Address of the bundle. */
  modelUrl: string;
  cloudUrl: string;
  mode: Mode;
}

/** A model for the life of the component, and a session in it for as long as the mode stays. */
export function useTandem({ modelUrl, cloudUrl, mode }: TandemOptions): Tandem {
  const [loaded, setLoaded] = useState<Tandem>({ state: 'loading' });
  const [session, setSession] = useState<Session>();
  const model = loaded.state === 'ready' ? loaded.model : undefined;

  useEffect(() => {
    const life = new AbortController();
    const onProgress = (progress: LoadProgress) => {
      if (!life.signal.aborted) setLoaded({ state: 'loading', progress });
    };
    const loading = EdgeModel.load(modelUrl, { onProgress, signal: life.signal });
    loading.then(
      (ready) => {
        if (!life.signal.aborted) setLoaded({ state: 'ready', model: ready, session: undefined });
      },
      (error) => {
        if (!life.signal.aborted) setLoaded({ state: 'failed', error });
      },
    );
    return () => {
      // Aborts a load that is under way; a model that is there goes, with its worker and its sessions.
      life.abort();
      loading.then((ready) => ready.dispose(), ignore);
      setLoaded({ state: 'loading' });
    };
  }, [modelUrl]);

  useEffect(() => {
    if (!model) return;
    const cloud = mode === 'device-only' ? {} : { cloud: { url: cloudUrl } };
    const opening = model.createSession({ mode, onCloudUnavailable: 'degrade', ...cloud });
    let isCurrent = true;
    opening.then(
      (opened) => {
        if (isCurrent) setSession(opened);
      },
      (error) => {
        if (isCurrent) setLoaded({ state: 'failed', error });
      },
    );
    return () => {
      isCurrent = false;
      setSession(undefined);
      opening.then((opened) => opened.dispose(), ignore);
    };
  }, [model, cloudUrl, mode]);

  return loaded.state === 'ready' ? { ...loaded, session } : loaded;
}

/** State of a session's connection. */
export function useConnection(session: Session | undefined): Session['connection'] {
  const subscribe = useCallback(
    (changed: () => void) => {
      const subscription = session?.connection$.subscribe(changed);
      return () => subscription?.unsubscribe();
    },
    [session],
  );
  return useSyncExternalStore(subscribe, () => session?.connection ?? 'idle');
}

export interface Chat {
  /** What was said; without the answer that is being written. */
  turns: readonly Turn[];
  /** The answer that is being written. */
  pieces: readonly Piece[] | undefined;
  error: unknown;
  send(text: string): void;
  stop(): void;
}

/** A conversation that outlives its sessions: another mode goes on with the same text. */
export function useChat(tandem: Tandem): Chat {
  const { model, session } = tandem.state === 'ready' ? tandem : {};
  const conversation = useMemo(() => model && new Conversation(model), [model]);
  const [pieces, setPieces] = useState<readonly Piece[]>();
  const [error, setError] = useState<unknown>();
  const running = useRef<AbortController>(undefined);

  const send = async (text: string) => {
    if (!conversation || !session || running.current) return;
    const abort = new AbortController();
    running.current = abort;
    setError(undefined);
    setPieces([]);
    try {
      const rules = { temperature: 0.8, emit: 'provisional', signal: abort.signal } as const;
      for await (const piece of conversation.answer(session, text, rules)) {
        // A piece without text only brings other drafts.
        setPieces((before = []) => [...before.filter((old) => old.text), piece]);
      }
    } catch (cause) {
      // Another mode, or the page is left: the session went, nobody made a mistake.
      if (!isTandemError(cause) || cause.code !== 'DISPOSED') setError(cause);
    } finally {
      running.current = undefined;
      setPieces(undefined);
    }
  };
  const turns = conversation?.turns ?? [];
  return {
    turns: pieces && turns.at(-1)?.by === 'model' ? turns.slice(0, -1) : turns,
    pieces,
    error,
    send,
    stop: () => running.current?.abort(),
  };
}

function ignore(): void {}
