"""A cache bounded by bytes, used from several threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

from log_aggregator.model.lru import SizedLru


class Key(int):
    """Whenever it is looked up, it is another thread's turn."""

    def __hash__(self) -> int:
        time.sleep(0)
        return int(self)


def test_what_was_not_used_for_longest_goes() -> None:
    cache: SizedLru[str, int] = SizedLru(30)
    for number, key in enumerate("abc"):
        cache.put(key, number, 10)
    assert cache.get("a") == 0
    cache.put("d", 3, 10)
    assert [cache.get(key) for key in "abcd"] == [0, None, 2, 3]
    cache.put("e", 4, 31)
    assert cache.get("e") is None
    assert cache.used_bytes == 30


def test_threads_may_share_it() -> None:
    cache: SizedLru[Key, int] = SizedLru(50)

    def use(seed: int) -> None:
        random = Random(seed)
        for _ in range(500):
            key = Key(random.randrange(10))
            found = cache.get(key)
            assert found is None or found == -key
            if found is None:
                cache.put(key, -key, 10)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(4)))
    assert cache.used_bytes == 10 * sum(cache.get(Key(number)) is not None for number in range(10)) == 50
