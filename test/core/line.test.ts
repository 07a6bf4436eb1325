// Items come out by their numbers, however they went in.
import { expect, test } from "bun:test";
import { Line } from "../../src/core/line.ts";

/** Takes out what is there, each with its number. */
function drain(line: Line<string>): [string | undefined, number | undefined][] {
  const taken: [string | undefined, number | undefined][] = [];
  while (line.peek() !== undefined) {
    taken.push([line.peek(), line.peekOrder()]);
    line.drop();
  }
  return taken;
}

const item = (order: number): [string, number] => [`item-${order}`, order];

test.each([
  ["in order", [1, 2, 3, 7]],
  ["backwards", [9, 6, 2]],
  ["some again, earlier than the last", [5, 8, 3, 9, 6, 10, 1]],
])("%s", (_, orders) => {
  const line = new Line<string>();
  for (const order of orders) line.push(...item(order));
  expect(drain(line)).toEqual(orders.toSorted((a, b) => a - b).map(item));
});

test("an empty one has nothing to peek at, and nothing to drop", () => {
  const line = new Line<string>();
  for (const _ of [1, 2]) {
    expect([line.peek(), line.peekOrder()]).toEqual([undefined, undefined]);
    line.drop();
  }
  line.push(...item(4));
  expect(drain(line)).toEqual([item(4)]);
});

test("as a sorted list would do it, while thousands come and go and some come again", () => {
  const line = new Line<string>();
  const model: number[] = [];
  let next = 0;
  const push = (order: number) => {
    line.push(...item(order));
    model.splice(model.findLastIndex((other) => other < order) + 1, 0, order);
  };
  for (let round = 0; round < 6000; round++) {
    // At first three come for each two that go, then nobody comes any more.
    if (round < 4000) for (const _ of [1, 2, 3]) push(++next);
    for (const _ of [1, 2]) {
      const first = model.shift();
      expect(line.peekOrder()).toBe(first);
      line.drop();
      if (first !== undefined && round % 50 === 0) push(first + 40.5);
    }
  }
  expect(drain(line)).toEqual(model.map(item));
});
