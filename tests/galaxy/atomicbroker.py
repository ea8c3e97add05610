"""Kombu's message broker in a folder, with messages that appear whole.

Kombu opens a message's file in the folder that the workers read and writes to it afterwards: a worker that is quick
finds an empty file, takes that for a broken message and ends, and no job is finished any more. Here a message is
written under another name and renamed.
"""

import os
import time
import uuid

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **_options):
        # Messages are taken in the order of their names. Only names that end in .QUEUE.msg are looked at.
        name = os.path.join(self.data_folder_out, f"{time.monotonic_ns():020}_{uuid.uuid4()}")
        with open(name, "w", encoding="utf-8") as file:
            file.write(dumps(payload))
        os.rename(name, f"{name}.{queue}.msg")


class Transport(filesystem.Transport):
    Channel = Channel


# A broker's URL names a transport in lower case.
transport = Transport
