"""`python healthcheck.py URL`: exit status 0 if it answers 200, else 1 with the reason."""

import sys
import urllib.error
import urllib.request

# Below Docker's own limit for a check; `/readyz` gives its servers 0.9 s.
ANSWER_SECONDS = 4.0


def main(url: str) -> int:
    """Ask once; the exit status."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    except OSError as error:
        print(f"{url}: {error}")
        return 1
    # `docker inspect` shows it: which server or service is not ready.
    print(f"{status} {body.decode(errors='replace')}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
