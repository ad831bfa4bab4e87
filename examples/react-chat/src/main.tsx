import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.js';

const cloudUrl = new URLSearchParams(location.search).get('cloud') ?? 'ws://localhost:8787';

createRoot(document.querySelector('main')!).render(
  <StrictMode>
    <App modelUrl="/model" cloudUrl={cloudUrl} />
  </StrictMode>,
);
