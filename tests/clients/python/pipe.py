"""Many operations on one stream of Cache/Pipeline, as docs/clients.md shows it: a future for each answer.

Invariants: every future is completed, with an answer or with the error that ended the stream; at most ROOM are not.

Not here: what an answer means (pipe_test.py shows some).
"""

import itertools
import queue
import threading
from concurrent.futures import Future

import grpc
from vedetta.v1 import cache_pb2

ROOM = 512


class Pipe:
    def __init__(self, stub):
        self.room, self.lock = threading.BoundedSemaphore(ROOM), threading.Lock()
        self.requests, self.waiting = queue.SimpleQueue(), {}
        self.ids, self.end = itertools.count(1), None
        self.answers = stub.Pipeline(iter(self.requests.get, None))
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, **call):
        """The future answer to send(get=GetRequest(...)), send(put=...), ...; waits while ROOM are on their way."""
        self.room.acquire()
        answer = Future()
        answer.add_done_callback(lambda _: self.room.release())
        with self.lock:
            if self.end is None:
                id = next(self.ids)
                self.waiting[id] = answer
                self.requests.put(cache_pb2.PipelineRequest(id=id, **call))
                return answer
        answer.set_exception(self.end)
        return answer

    def read(self):
        end = ConnectionError("the pipe is closed")
        try:
            for answer in self.answers:
                self.waiting.pop(answer.id).set_result(answer)
        except grpc.RpcError as error:
            end = error
        with self.lock:
            self.end = end
        for answer in self.waiting.values():
            answer.set_exception(end)

    def close(self):
        """What was sent is answered still."""
        self.requests.put(None)
