import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Paths are relative to this folder. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const FOLDERS = ['shared', 'edge-sdk', 'cloud-server', 'model-kit', 'tests', 'bench', 'examples', 'docs'];
const SKIPPED = new Set(['node_modules', 'dist', '.cache']);

export interface SourceFile {
  /** With `/`, from the root of the repository. */
  path: string;
  text: string;
  /** `text` without comments and with empty strings, line by line as long as before. */
  code: string;
  imports: Import[];
}

export interface Import {
  from: string;
  /** Vanishes when compiled. */
  isType: boolean;
}

/** All TypeScript and JavaScript that people write here; `onnx_pb.ts` is generated. */
export function readSourceFiles(): SourceFile[] {
  const rootFiles = readdirSync(ROOT).filter((name) => /\.(ts|js)$/.test(name));
  return [...rootFiles, ...FOLDERS.flatMap(list)]
    .filter((path) => !path.endsWith('/onnx_pb.ts'))
    .map((path) => sourceFile(path, readFileSync(ROOT + path, 'utf8')));
}

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, code: withoutCommentsAndStrings(text), imports: importsOf(text) };
}

function list(folder: string): string[] {
  return readdirSync(ROOT + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : list(path);
    return /\.(tsx?|js)$/.test(entry.name) ? [path] : [];
  });
}

/** Template strings stay: code may hide in them. */
function withoutCommentsAndStrings(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (found) =>
    found.startsWith('/') ? found.replace(/[^\n]/g, '') : "''",
  );
}

function importsOf(text: string): Import[] {
  const statements = text.matchAll(/^(?:import|export)\s[^;]*?\bfrom '([^']+)';|^import '([^']+)';/gm);
  const fixed = [...statements].map((match) => ({
    from: (match[1] ?? match[2])!,
    isType: /^(import|export) type\b/.test(match[0]) || /^(import|export) \{(\s*type [^,}]+,?)+\s*\}/.test(match[0]),
  }));
  const dynamic = [...text.matchAll(/\bimport\('([^']+)'\)/g)].map((match) => ({ from: match[1]!, isType: false }));
  return [...fixed, ...dynamic];
}
