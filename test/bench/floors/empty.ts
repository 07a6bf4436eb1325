// An empty program. Compiled as cloudai is, it is the least that a start can cost; with STAY it stays and does nothing.
if (process.env.STAY !== undefined) setInterval(() => {}, 2 ** 30);
