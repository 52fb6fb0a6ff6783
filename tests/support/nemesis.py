"""Trouble for a network of real processes, drawn from one seed."""

from __future__ import annotations

import random
import threading
import time

LONGEST_PAUSE_S = 1.5
SLOW_MS = (20, 400)


class Nemesis:
    """Kills, stops, cuts, slows; and undoes each after a while. Never more faults at once than `most`, but all may die."""

    def __init__(self, network, seed, *, most=2):
        self._network = network
        self._random = random.Random(seed)
        self._most = most
        self._undo = {}
        """What makes a validator whole again, by its name."""

        self._began = time.monotonic()
        self.done = []
        """What was done, for people: seconds since the beginning, and what."""

    def run(self, duration_s):
        """Make trouble for so long; what is broken in the end stays so."""
        pause = threading.Event()
        while time.monotonic() - self._began < duration_s:
            pause.wait(self._random.uniform(0.1, LONGEST_PAUSE_S))
            self._draw()

    def _draw(self):
        whole = [node.name for node in self._network.nodes if node.name not in self._undo]
        # Two of four at a time stop the chain, so mostly it is one.
        most = self._most if self._random.random() < 0.3 else 1
        if len(self._undo) >= most or not whole:
            name = self._random.choice(list(self._undo))
            self._note(f"mend {name}")
            self._undo.pop(name)()
            return
        name = self._random.choice(whole)
        self._random.choice(FAULTS)(self, name)

    def _note(self, what):
        self.done.append(f"{time.monotonic() - self._began:.1f} s: {what}")

    def _kill(self, name):
        self._note(f"kill {name}")
        self._network.kill(name)
        self._undo[name] = lambda: self._network.start(name)

    def _kill_and_start_at_once(self, name):
        self._note(f"kill and start {name}")
        self._network.kill(name)
        self._network.start(name)

    def _kill_all(self, _name):
        self._note("kill all")
        for name, undo in list(self._undo.items()):
            undo()
            del self._undo[name]
        names = [node.name for node in self._network.nodes]
        self._network.kill(*names)
        for name in names:
            self._network.start(name)

    def _stop(self, name):
        self._note(f"stop {name}")
        self._network.stop(name)
        self._undo[name] = lambda: self._network.cont(name)

    def _wire(self, verb, name, *details):
        self._note(" ".join((verb, name, *map(str, details))))
        getattr(self._network, verb)(name, *details)
        self._undo[name] = lambda: self._network.heal(name)

    def _cut(self, name):
        self._wire("cut", name)

    def _mute(self, name):
        self._wire("mute", name)

    def _deafen(self, name):
        self._wire("deafen", name)

    def _part(self, name):
        others = [node.name for node in self._network.nodes if node.name != name]
        self._wire("part", name, self._random.choice(others))

    def _slow(self, name):
        self._wire("slow", name, self._random.randint(*SLOW_MS))


FAULTS = (
    *(Nemesis._kill,) * 3,
    *(Nemesis._kill_and_start_at_once,) * 3,
    Nemesis._kill_all,
    *(Nemesis._stop,) * 3,
    *(Nemesis._cut,) * 2,
    Nemesis._mute,
    Nemesis._deafen,
    Nemesis._part,
    Nemesis._slow,
)
