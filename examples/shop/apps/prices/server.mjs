// What things cost, in cents: a program that is not Python.
import http from "node:http";

const prices = { apple: 60, bread: 320, cheese: 540 };

const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(prices));
});
server.listen(8482, "127.0.0.1", () => console.log(`prices of ${Object.keys(prices).length} goods`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
