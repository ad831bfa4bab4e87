import { type SpawnSyncReturns, spawnSync } from 'node:child_process';

export type Side = 'cloud' | 'edge';
/** `link`: the interface is taken down, as when a cable is pulled. `route`: packets vanish on their way, and nobody is told. */
export type Breach = 'link' | 'route';

const SIDES: readonly Side[] = ['cloud', 'edge'];
/** Inside of the namespaces only, so it is in nobody's way. */
const ADDRESSES: Record<Side, string> = { cloud: '10.213.7.1', edge: '10.213.7.2' };
const NAME = /^tandem-(\d+)-(?:cloud|edge)/;

/** Two network namespaces with one cable between them, for partitions that the kernel makes. Needs Linux, `ip` and root. */
export class NetworkNamespaces {
  readonly address = ADDRESSES.cloud;

  /** Why there can be none here; undefined if there can. */
  static obstacle(): string | undefined {
    const probe = `tandem-${process.pid}-edge`;
    const made = ip('netns', 'add', probe);
    if (made.error) return 'there is no ip here; apt-get install iproute2';
    if (made.status !== 0) return `ip netns add: ${made.stderr.trim()}; namespaces need root on Linux`;
    ip('netns', 'del', probe);
    return undefined;
  }

  constructor() {
    removeLeftovers();
    // However this process ends by itself, nothing of it stays.
    process.once('exit', this.close);
    for (const side of SIDES) must('netns', 'add', nameOf(side));
    must(
      'link',
      'add',
      'cable',
      'netns',
      nameOf('cloud'),
      'type',
      'veth',
      'peer',
      'name',
      'cable',
      'netns',
      nameOf('edge'),
    );
    for (const side of SIDES) {
      must('-n', nameOf(side), 'addr', 'add', `${ADDRESSES[side]}/24`, 'dev', 'cable');
      must('-n', nameOf(side), 'link', 'set', 'cable', 'up');
    }
  }

  /** What to put in front of a command that is to run there. */
  inside(side: Side): [string, string[]] {
    return ['ip', ['netns', 'exec', nameOf(side)]];
  }

  break(how: Breach): void {
    if (how === 'link') must('-n', nameOf('edge'), 'link', 'set', 'cable', 'down');
    else
      for (const side of SIDES) must('-n', nameOf(side), 'route', 'add', 'blackhole', `${ADDRESSES[other(side)]}/32`);
  }

  heal(how: Breach): void {
    if (how === 'link') must('-n', nameOf('edge'), 'link', 'set', 'cable', 'up');
    else
      for (const side of SIDES) must('-n', nameOf(side), 'route', 'del', 'blackhole', `${ADDRESSES[other(side)]}/32`);
  }

  /** The cable goes with them. */
  readonly close = (): void => {
    process.off('exit', this.close);
    for (const side of SIDES) ip('netns', 'del', nameOf(side));
  };
}

function nameOf(side: Side): string {
  return `tandem-${process.pid}-${side}`;
}

function other(side: Side): Side {
  return side === 'cloud' ? 'edge' : 'cloud';
}

/** Of a run that was killed. */
function removeLeftovers(): void {
  for (const line of ip('netns', 'list').stdout.split('\n')) {
    const match = NAME.exec(line);
    if (match && !isAlive(Number(match[1]))) ip('netns', 'del', match[0]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function ip(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync('ip', args, { encoding: 'utf8' });
}

function must(...args: string[]): void {
  const { status, stderr } = ip(...args);
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}
