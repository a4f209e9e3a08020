"""What the sites' stacks would change, all sites side by side. Changes nothing; one silent provider hides no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from failover.errors import FailoverError
from failover.model.run_report import ChangeShown, PreviewShown, SitePreview
from failover.operations.stack_request import site_request
from failover.operations.wired import Wired

PREVIEW_S = 180.0


def preview(wired: Wired, sites: tuple[str, ...] = ()) -> PreviewShown:
    """Ask each site's provider (none named: all)."""
    names = sites or tuple(site.name for site in wired.fleet.sites)
    provisioner = wired.provisioner
    requests = {name: site_request(wired, name) for name in names}
    with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="preview") as pool:
        asked = {name: pool.submit(provisioner.preview, requests[name], deadline_s=PREVIEW_S) for name in names}
    found: list[SitePreview] = []
    failed: dict[str, str] = {}
    for name, future in asked.items():
        try:
            changes = future.result().changes
        except FailoverError as error:
            failed[name] = str(error)
        else:
            shown = (ChangeShown(resource=one.resource, operation=one.operation, fields=one.fields) for one in changes)
            found.append(SitePreview(site=name, changes=tuple(shown)))
    return PreviewShown(sites=tuple(found), failed=failed)
