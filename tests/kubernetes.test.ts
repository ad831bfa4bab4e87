import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { environmentOf, METRICS, OPTION_NAMES } from '@tandem/cloud';
import { limits } from '@tandem/shared';
import type { StatefulSet } from 'kubernetes-models/apps/v1';
import type { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { Ingress } from 'kubernetes-models/networking.k8s.io/v1';
import type { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { Secret, Service } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';

const FOLDER = new URL('../deploy/kubernetes/', import.meta.url);
const TESTS = fileURLToPath(new URL('./', import.meta.url));
const TSC = fileURLToPath(new URL('./bin/tsc', import.meta.resolve('typescript/package.json')));
/** Its values belong to a chart; everything else is an object of Kubernetes. */
const VALUES = 'prometheus-adapter.yaml';

interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
}

const read = (file: string) => readFileSync(new URL(file, FOLDER), 'utf8');
const objects = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml') && name !== VALUES)
  .flatMap((file) => parseAllDocuments(read(file)).map((document) => document.toJS() as KubernetesObject));

function find<Kind>(kind: string, name = 'tandem-cloud'): Kind {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  expect(found, `${kind} ${name}`).toBeDefined();
  return found as Kind;
}

/** `v1` is the core's. */
const moduleOf = ({ apiVersion }: KubernetesObject) => `kubernetes-models/${apiVersion}`;

/** What the schema of Kubernetes' API says about values. */
async function invalid(object: KubernetesObject): Promise<string | undefined> {
  const models = (await import(moduleOf(object))) as Record<string, new (data: object) => { validate(): void }>;
  try {
    new models[object.kind]!(object).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Fields that the schema does not have: it allows them, the API server drops them, and a typo is never found. */
function unknownFields(object: KubernetesObject): string {
  const folder = mkdtempSync(`${TESTS}kubernetes-`);
  const source = `import type { I${object.kind} } from '${moduleOf(object)}';\nexport const object: I${object.kind} = ${JSON.stringify(object, null, 1)};\n`;
  writeFileSync(`${folder}/object.ts`, source);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--ignoreConfig', '--types', ''];
  const { stdout } = spawnSync(process.execPath, [TSC, ...flags, `${folder}/object.ts`], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return stdout;
}

describe('deploy/kubernetes', () => {
  const set = find<StatefulSet>('StatefulSet');
  const pod = set.spec!.template;
  const [container] = pod.spec!.containers;

  it.each(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object] as const))(
    '%s is what the schema of Kubernetes allows',
    async (_title, object) => {
      expect(await invalid(object)).toBeUndefined();
      expect(unknownFields(object)).toBe('');
    },
  );

  it('the schema finds what is wrong', async () => {
    const budget = find<KubernetesObject & { spec: object }>('PodDisruptionBudget');
    expect(await invalid({ ...budget, spec: { maxUnavailable: { at: 'most' } } } as KubernetesObject)).toMatch(
      /must be/,
    );
    const misspelt = { ...budget, spec: { ...budget.spec, maxUnavailible: 1 } } as KubernetesObject;
    expect(unknownFields(misspelt)).toContain('maxUnavailible');
  });

  it('everything points at something that is there', () => {
    const labels = pod.metadata!.labels;
    expect(set.spec!.selector.matchLabels).toEqual(labels);
    for (const name of ['tandem-cloud', 'tandem-cloud-pods']) {
      expect(find<Service>('Service', name).spec!.selector).toEqual(labels);
    }
    expect(set.spec!.serviceName).toBe('tandem-cloud-pods');
    expect(find<PodDisruptionBudget>('PodDisruptionBudget').spec!.selector!.matchLabels).toEqual(labels);
    const { kind, name } = find<HorizontalPodAutoscaler>('HorizontalPodAutoscaler').spec!.scaleTargetRef;
    expect([kind, name]).toEqual(['StatefulSet', 'tandem-cloud']);
    const backend = find<Ingress>('Ingress').spec!.rules![0]!.http!.paths[0]!.backend.service!;
    expect(backend).toEqual({ name: 'tandem-cloud', port: { name: container!.ports![0]!.name } });
    const keys = Object.keys(find<Secret>('Secret').stringData!);
    const asked = container!.env!.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
    expect(asked.map((reference) => [reference.name, reference.key])).toEqual(keys.map((key) => ['tandem-cloud', key]));
  });

  it('variables are options of the server', () => {
    const known = OPTION_NAMES.map(environmentOf);
    expect(container!.env!.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
  });

  it('a pod has the time to drain', () => {
    const preStopS = Number(container!.lifecycle!.preStop!.exec!.command![1]);
    const drainMs = limits.DRAIN_SPREAD_MS + limits.DRAIN_SLACK_MS + 2 * limits.STOP_GRACE_MS;
    expect(pod.spec!.terminationGracePeriodSeconds! * 1_000).toBeGreaterThan(preStopS * 1_000 + drainMs);
    // A probe that gives up before the server does would take an engine's silence for a dead network.
    expect(container!.readinessProbe!.timeoutSeconds! * 1_000).toBeGreaterThan(limits.READY_TIMEOUT_MS);
  });

  it('scales on a metric that the adapter makes of one that there is', () => {
    const [rule] = (parse(read(VALUES)) as { rules: { custom: Record<string, { as: string }>[] } }).rules.custom;
    const [metric] = find<HorizontalPodAutoscaler>('HorizontalPodAutoscaler').spec!.metrics!;
    expect(metric!.pods!.metric.name).toBe(rule!.name!.as);
    const series = /^(\w+)_bucket\{/.exec(String(rule!.seriesQuery))?.[1];
    expect(METRICS).toHaveProperty(series!);
  });
});
