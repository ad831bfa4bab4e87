/** Run as a process of its own, with little memory: renders every hostile template and prints what came of it. */
import { ChatTemplate } from '@tandem/edge/testing';
import { HOSTILE_TEMPLATES } from './hostile-templates.js';

const results = Object.entries(HOSTILE_TEMPLATES).map(([name, [source]]) => {
  const start = process.cpuUsage();
  const message = messageOf(source);
  const { user, system } = process.cpuUsage(start);
  return [name, { message, ms: (user + system) / 1000 }];
});
console.log(JSON.stringify(Object.fromEntries(results)));

function messageOf(source: string): string {
  try {
    return `${new ChatTemplate(source, {}).render([{ role: 'user', content: 'hello' }]).length} characters`;
  } catch (error) {
    return String(error);
  }
}
