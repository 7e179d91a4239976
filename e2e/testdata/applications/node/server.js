const express = require("express");
const fs = require("fs");

const app = express();
app.get("/", (request, response) => response.json({
  greeting: process.env.GREETING || "hello",
  token: (process.env.API_TOKEN || "").length,
  kept: fs.readFileSync("keep.log", "utf8").trim(),
}));
const server = app.listen(process.env.PORT || 3000, () => console.log(`letters: listening on ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
