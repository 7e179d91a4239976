// Sends POSTs on connections that are kept, until its input ends; then tells how
// many were lost.
//
// Usage: node post.js HOST PORT CA_FILE
'use strict'
const fs = require('fs')
const https = require('https')

const [host, port, ca] = process.argv.slice(2)
const agent = new https.Agent({ keepAlive: true, maxSockets: 4, ca: fs.readFileSync(ca), servername: host })
let ended = false
let sent = 0
const lost = []

function post () {
  return new Promise((resolve) => {
    const request = https.request({ agent, host: '127.0.0.1', port, path: '/', method: 'POST', headers: { host, 'content-type': 'application/json' }, timeout: 10000 }, (response) => {
      if (response.statusCode !== 200) lost.push(`${new Date().toISOString()} status ${response.statusCode}`)
      response.resume()
      response.on('end', resolve)
      response.on('error', (problem) => {
        lost.push(`${new Date().toISOString()} ${problem}`)
        resolve()
      })
    })
    request.on('error', (problem) => {
      lost.push(`${new Date().toISOString()} ${problem}`)
      resolve()
    })
    request.end('{"a": 1}')
  })
}

async function work () {
  while (!ended) {
    await post()
    sent++
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

process.stdin.resume()
process.stdin.on('end', () => { ended = true })
Promise.all([1, 2, 3, 4].map(work)).then(() => {
  process.stdout.write(JSON.stringify({ sent, lost }))
  agent.destroy()
})
