import { FairQueue, INTERACTIVE_RUN_MAX } from '@tandem/cloud/testing';
import { describe, expect, it } from 'vitest';

interface Job {
  name: string;
  kind: 'interactive' | 'prefill';
  tenant: string;
  rows: number;
}

function job(name: string, change: Partial<Job> = {}): Job {
  return { name, kind: 'interactive', tenant: 'a', rows: 1, ...change };
}

function takeAll(queue: FairQueue<Job>): string[] {
  const names: string[] = [];
  for (let next = queue.take(); next; next = queue.take()) names.push(next.name);
  return names;
}

describe('fair queue', () => {
  it('takes interactive jobs before prefill, in the order of their tenant', () => {
    const queue = new FairQueue<Job>();
    queue.push(job('prompt', { kind: 'prefill', rows: 64 }));
    queue.push(job('first'));
    queue.push(job('second'));
    expect(queue.size).toBe(3);
    expect(takeAll(queue)).toEqual(['first', 'second', 'prompt']);
    expect(queue.take()).toBeUndefined();
  });

  it('lets no prefill wait for ever', () => {
    const queue = new FairQueue<Job>();
    queue.push(job('prompt', { kind: 'prefill' }));
    for (let i = 0; i < 2 * INTERACTIVE_RUN_MAX; i++) queue.push(job(String(i)));
    expect(takeAll(queue).indexOf('prompt')).toBe(INTERACTIVE_RUN_MAX);
  });

  it('shares rows, not turns, between tenants', () => {
    const queue = new FairQueue<Job>();
    for (let i = 0; i < 40; i++) queue.push(job('large', { tenant: 'large', rows: 8 }));
    for (let i = 0; i < 40; i++) queue.push(job('small', { tenant: 'small', rows: 2 }));
    const served = takeAll(queue).slice(0, 25);
    expect(served.filter((name) => name === 'large')).toHaveLength(5);
    expect(served.filter((name) => name === 'small')).toHaveLength(20);
  });

  it('serves a tenant of one session as often as one of fifty', () => {
    const queue = new FairQueue<Job>();
    for (let i = 0; i < 50; i++) queue.push(job('crowd', { tenant: 'crowd' }));
    let lone = 0;
    // The lone session hands in its next step when the last was served; so does every one of the crowd.
    queue.push(job('lone', { tenant: 'lone' }));
    for (let turn = 0; turn < 100; turn++) {
      const next = queue.take()!;
      lone += Number(next.name === 'lone');
      queue.push(job(next.name, { tenant: next.name }));
    }
    expect(lone).toBe(50);
  });

  it('does not let a tenant save up turns by being idle', () => {
    const queue = new FairQueue<Job>();
    for (let i = 0; i < 100; i++) queue.push(job('busy', { tenant: 'busy' }));
    for (let i = 0; i < 50; i++) queue.take();
    for (let i = 0; i < 50; i++) queue.push(job('late', { tenant: 'late' }));
    const next = Array.from({ length: 20 }, () => queue.take()!.name);
    expect(next.filter((name) => name === 'late')).toHaveLength(10);
  });

  it('forgets a job that is taken out', () => {
    const queue = new FairQueue<Job>();
    const cancelled = job('cancelled');
    queue.push(cancelled);
    queue.push(job('kept'));
    expect([queue.remove(cancelled), queue.remove(cancelled), queue.size]).toEqual([true, false, 1]);
    expect(takeAll(queue)).toEqual(['kept']);
  });
});
