"""What gets deployed: machines, networks, buckets, zones by Pulumi, and the app itself.

Must never import failover beyond its bootstrap and outputs values.
"""
