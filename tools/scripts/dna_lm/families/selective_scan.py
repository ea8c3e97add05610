"""The selective scan of Mamba (Gu & Dao 2023, arXiv:2312.00752): a recurrence whose coefficients depend on the tokens.

For each sequence and each of its channels a state of N numbers is carried from token to token:

    h[t] = exp(delta[t] A) h[t-1] + delta[t] u[t] B[t],    y[t] = C[t] . h[t]

Tokens are read one after the other, so the state neither overflows nor is divided by a product that underflows. What
does not depend on the state before is computed for a block of tokens at once, and what is left is one operation for
each token. `benchmarks/choices.py scan` compares this with other ways. The coefficients of a block are the only
tensors with N numbers for each token and channel, so memory does not grow with them times the length.

On the CPU a result is the same to the last bit, whatever else is in the batch.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch.nn.functional import pad

# Numbers (sequences x states x channels) that one token takes at once, and of one block: their tensors stay in a CPU's
# caches (2^15 to 2^20 were tried). A GPU has room for more, and needs it to be busy.
_STEP_NUMBERS = {"cpu": 2**16, "cuda": 2**26}
_BLOCK_NUMBERS = {"cpu": 2**19, "cuda": 2**26}
# Tokens of all sequences for which the coefficients themselves are computed together.
_TOKENS = {"cpu": 2**11, "cuda": 2**16}

# torch's loops on the CPU take at most so many numbers at once. They may round what is left at the end of a buffer
# differently: channels are filled up to a multiple.
_LOOP = 32


def block_length(n_sequences: int, n_tokens: int, device: torch.device) -> int:
    """How many tokens of each sequence are to be given to `selective_scan` at once, by the memory that it needs."""
    if _kernel(device.type) is not None:
        return n_tokens
    return max(1, _TOKENS.get(device.type, _TOKENS["cpu"]) // n_sequences)


def selective_scan(
    inputs: torch.Tensor,
    steps: torch.Tensor,
    drives: torch.Tensor,
    readouts: torch.Tensor,
    rates: torch.Tensor,
    state: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The outputs y for a block of tokens, and the state after it, all in float32.

    With D directions, each with its own rates: inputs u and steps delta (D, sequences, tokens, channels), drives B and
    readouts C (D, sequences, tokens, N), rates A (D, channels, N), below 0. state: that after the tokens before, as it
    was returned; `None` at the beginning of the sequences. Returns y (D, sequences, tokens, channels).
    """
    if kernel := _kernel(inputs.device.type):
        # It keeps no state: `block_length` makes the block the whole sequence.
        outputs = [
            kernel(*(tensor.transpose(1, 2) for tensor in (u, delta)), a, b.transpose(1, 2), c.transpose(1, 2))
            for u, delta, b, c, a in zip(inputs, steps, drives, readouts, rates, strict=True)
        ]
        return torch.stack(outputs).transpose(2, 3), None
    n_sequences, _, n_channels = inputs.shape[1:]
    # torch's exp uses Intel's library, which takes three times as long as exp2, and twenty times when numbers vanish.
    exponents = _filled(rates.transpose(1, 2) * math.log2(math.e)).repeat_interleave(n_sequences, dim=0)
    # Tokens first: (tokens, directions x sequences, ...).
    driven, steps = (_filled(tensor).flatten(0, 1).transpose(0, 1) for tensor in (inputs * steps, steps))
    drives, readouts = (tensor.flatten(0, 1).transpose(0, 1) for tensor in (drives, readouts))
    state = torch.zeros_like(exponents) if state is None else state
    outputs = torch.empty_like(driven)
    n_rows = max(1, _STEP_NUMBERS.get(inputs.device.type, _STEP_NUMBERS["cpu"]) // exponents[0].numel())
    with _one_thread():
        for rows in map(slice, range(0, len(state), n_rows), range(n_rows, len(state) + n_rows, n_rows)):
            _scan_rows(
                *(tensor[:, rows] for tensor in (driven, steps, drives, readouts)),
                exponents[rows],
                state[rows],
                outputs[:, rows],
            )
    return outputs.transpose(0, 1).unflatten(0, (-1, n_sequences))[..., :n_channels], state


def _scan_rows(
    driven: torch.Tensor,
    steps: torch.Tensor,
    drives: torch.Tensor,
    readouts: torch.Tensor,
    exponents: torch.Tensor,
    state: torch.Tensor,
    outputs: torch.Tensor,
) -> None:
    """Fill outputs (tokens, sequences, channels), and change the state (sequences, N, channels) to that at the end.

    driven, delta u, and steps: (tokens, sequences, channels); drives and readouts: (tokens, sequences, N); exponents:
    A log2(e), (sequences, N, channels).
    """
    n_at_once = max(1, _BLOCK_NUMBERS.get(state.device.type, _BLOCK_NUMBERS["cpu"]) // state.numel())
    n_at_once = min(len(steps), n_at_once)
    decays, states = (state.new_empty(n_at_once, *state.shape) for _ in range(2))
    of_tokens = list(zip(decays.unbind(), states.unbind(), strict=True))
    for start in range(0, len(steps), n_at_once):
        tokens = slice(start, min(start + n_at_once, len(steps)))
        n_tokens = tokens.stop - start
        torch.mul(steps[tokens, :, None], exponents, out=decays[:n_tokens]).exp2_()
        torch.mul(driven[tokens, :, None], drives[tokens, ..., None], out=states[:n_tokens])
        before = state
        for decay, after in of_tokens[:n_tokens]:
            after.addcmul_(decay, before)
            before = after
        state.copy_(before)
        outputs[tokens] = torch.matmul(readouts[tokens, :, None], states[:n_tokens])[:, :, 0]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A context in which torch computes on one thread of the CPU.

    What is computed for one token takes some microseconds. Threads that share it wait for each other, and on a busy
    machine, where they do not run at the same time, they wait a hundred times as long.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def whole_loops(function: Callable[[torch.Tensor], torch.Tensor], numbers: torch.Tensor) -> torch.Tensor:
    """A function that works number by number, with the same rounding wherever in a buffer a number is."""
    if numbers.device.type != "cpu":
        return function(numbers)
    return function(_filled(numbers.flatten()))[: numbers.numel()].view(numbers.shape)


def _filled(numbers: torch.Tensor) -> torch.Tensor:
    """With zeros after the last axis, up to a multiple of `_LOOP`."""
    n_more = -numbers.shape[-1] % _LOOP
    return pad(numbers, (0, n_more)) if n_more else numbers


@functools.cache
def _kernel(device_type: str) -> Callable[..., torch.Tensor] | None:
    """The published CUDA kernel (package `mamba_ssm`), where the tensors are on a GPU and it is installed."""
    if device_type != "cuda":
        return None
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    return selective_scan_fn
