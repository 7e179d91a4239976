"""Sends POSTs on connections that are kept, until its input ends; then tells how many were lost.

Usage: post.py HOST PORT CA_FILE
"""
import http.client
import json
import socket
import ssl
import sys
import threading
import time

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
ended = threading.Event()
sent, lost = [], []


class Connection(http.client.HTTPSConnection):
    def connect(self):
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10), server_hostname=host)


def work():
    connection = Connection(host, port)
    while not ended.is_set():
        try:
            connection.request("POST", "/", body=b'{"a": 1}', headers={"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise http.client.HTTPException(f"status {response.status}")
        except (OSError, http.client.HTTPException) as problem:
            lost.append(f"{time.strftime('%H:%M:%S')} {problem!r}")
            connection.close()
        sent.append(1)
        time.sleep(0.02)


workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers:
    worker.start()
sys.stdin.read()
ended.set()
for worker in workers:
    worker.join()
json.dump({"sent": len(sent), "lost": lost}, sys.stdout)
