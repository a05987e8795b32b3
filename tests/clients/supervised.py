"""The server of a test, in the hands of `supervisor.mjs`, which says what it does line by line."""

import os
import subprocess
import threading

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.mjs")
WITHIN = 30


class Server:
    def __init__(self):
        self.url = None
        self.kills = 0
        self._state = "starting"
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            ["node", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self.wait_until_up()
        except Exception:
            self.stop()
            raise

    def restart(self, wait=True):
        """Kills the server and starts it again. Waits until it is dead, unless told otherwise."""
        with self._changed:
            self.kills += 1
            self._state = "dying"
        self._process.stdin.write("restart\n")
        self._process.stdin.flush()
        if wait:
            self._wait(lambda state: state != "dying")

    def wait_until_up(self):
        self._wait(lambda state: state == "up")

    def stop(self):
        """Returns when the server is gone and its folder removed."""
        self._process.stdin.close()
        try:
            self._process.wait(WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _listen(self):
        with self._process.stdout as lines:
            for line in lines:
                state, _, rest = line.rstrip("\n").partition(" ")
                with self._changed:
                    self._state = line if state == "failed" else state
                    self.url = rest if state == "up" else self.url
                    self._changed.notify_all()
        with self._changed:
            if not self._state.startswith("failed"):
                self._state = "failed: the supervisor ended"
            self._changed.notify_all()

    def _wait(self, reached):
        with self._changed:
            self._changed.wait_for(lambda: reached(self._state) or self._state.startswith("failed"), WITHIN)
            if not reached(self._state) or self._state.startswith("failed"):
                raise RuntimeError(f"the server is not there: {self._state}")
