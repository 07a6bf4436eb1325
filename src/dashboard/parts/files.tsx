import type { TaskDetailJson, TaskFilesJson } from "../../wire/json.ts";
import { paths } from "../data/api.ts";
import { mib } from "../data/format.ts";
import { useAnswer } from "../data/poller.ts";

/** More rows than that help nobody; the command line has them all. */
const MOST_ROWS = 500;

/** What the last attempt has left in its output folder; nothing at all for the many tasks that leave none. */
export function Files({ task }: { task: TaskDetailJson }) {
  const { data } = useAnswer<TaskFilesJson>(
    task.result === null ? undefined : paths.files(task.task_id),
    ({ task_id }) => task_id === task.task_id,
  );
  if (data === undefined || (data.files.length === 0 && data.left_out.length === 0)) return null;
  const files = data.files.slice(0, MOST_ROWS);
  const leftOut = data.left_out.slice(0, MOST_ROWS);
  const more = data.files.length + data.left_out.length - files.length - leftOut.length;
  return (
    <section class="panel files" aria-labelledby="files-title">
      <header class="bar">
        <h2 id="files-title">Files</h2>
        <span class="tally">{data.files.length}</span>
      </header>
      <table class="table">
        <caption class="hidden">Files that the task has left</caption>
        <thead>
          <tr>
            <th scope="col">Path</th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {files.map(({ path, bytes, sha256 }) => (
            <tr key={path}>
              <td>
                <a href={paths.file(task.task_id, path)} download title={`SHA-256 ${sha256}`}>
                  {path}
                </a>
              </td>
              <td class="number">{bytes < 1024 ? `${bytes} B` : mib(bytes / 1024 / 1024)}</td>
            </tr>
          ))}
          {leftOut.map(({ path, reason }) => (
            <tr key={path}>
              <td>
                {path} <small>left out: {reason}</small>
              </td>
              <td class="number">–</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p class="more">and {more} more</p>}
    </section>
  );
}
