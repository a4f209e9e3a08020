"""``StoreLook`` over plain HTTP: one request without a key. Any answer but a server's own failure will do."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from failover.model.stores import StorePlace

_FAILURES = 500


class HttpStoreLook:
    """Implements ``ports.store_look.StoreLook``."""

    def silence(self, place: StorePlace, *, deadline_s: float) -> str:
        """See the port."""
        where = urlsplit(place.endpoint)
        connection = (
            http.client.HTTPSConnection(
                where.hostname or "", where.port, timeout=deadline_s, context=ssl.create_default_context()
            )
            if where.scheme == "https"
            else http.client.HTTPConnection(where.hostname or "", where.port, timeout=deadline_s)
        )
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except TimeoutError:
            return f"no answer in {deadline_s:g} s"
        except (OSError, http.client.HTTPException) as error:
            return getattr(error, "strerror", None) or type(error).__name__
        finally:
            connection.close()
        return f"it answers {status}" if status >= _FAILURES else ""
