import { Heap } from "./heap.ts";

/** What has been taken from the front is thrown away once it is so much, and more than what is left. */
const LEAST_DROPPED = 1024;

/**
 * Items in the order of their numbers, the least first. What comes in that order is a slot in each of two flat arrays: nothing
 * for the collector to visit, and to take the first one touches no other, however many wait. What comes out of order
 * waits aside in a heap.
 */
export class Line<T> {
  #items: T[] = [];
  #orders: number[] = [];
  /** How many of both arrays have been taken. */
  #taken = 0;
  readonly #late = new Heap<{ readonly item: T; readonly order: number }>((a, b) => a.order < b.order);

  push(item: T, order: number): void {
    const last = this.#orders[this.#orders.length - 1];
    if (last !== undefined && order <= last) this.#late.push({ item, order });
    else {
      this.#items.push(item);
      this.#orders.push(order);
    }
  }

  /** The first item, and undefined when there is none. */
  peek(): T | undefined {
    return this.#lateIsFirst() ? this.#late.peek()?.item : this.#items[this.#taken];
  }

  /** The number of the first item. */
  peekOrder(): number | undefined {
    return this.#lateIsFirst() ? this.#late.peek()?.order : this.#orders[this.#taken];
  }

  /** Takes the first item away. */
  drop(): void {
    if (this.#lateIsFirst()) {
      this.#late.pop();
      return;
    }
    this.#taken = Math.min(this.#taken + 1, this.#items.length);
    if (this.#taken < LEAST_DROPPED || this.#taken * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#taken);
    this.#orders = this.#orders.slice(this.#taken);
    this.#taken = 0;
  }

  #lateIsFirst(): boolean {
    const late = this.#late.peek();
    if (late === undefined) return false;
    const inOrder = this.#orders[this.#taken];
    return inOrder === undefined || late.order < inOrder;
  }
}
