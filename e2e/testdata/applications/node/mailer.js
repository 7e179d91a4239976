console.log("mailer: waiting for letters");
const timer = setInterval(() => console.log("mailer: nothing to send"), 5000);
process.on("SIGTERM", () => { clearInterval(timer); console.log("mailer: stopped"); });
