"""Three real etcd voters on loopback addresses, one per pretended provider; killed, frozen and thawed by tests."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import signal
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from failover.adapters.record_etcd_leader import EtcdVoters
from failover.errors import Unreachable


@dataclass(frozen=True)
class Certificates:
    """A throw-away CA with one certificate that is good for every voter and for the client."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context


class Voters:
    """``sites[i]`` is the address of voter ``v<i>``. ``stop`` ends every process, frozen or not."""

    def __init__(self, folder: Path, *, block: int, tls: bool) -> None:
        self.folder = folder
        self.sites = tuple(f"127.82.{i}.{block}" for i in (1, 2, 3))
        self.certificates = make_certificates(folder, self.sites) if tls else None
        scheme = "https" if tls else "http"
        self.endpoints = tuple(f"{scheme}://{site}:2379" for site in self.sites)
        self.processes: list[subprocess.Popen[bytes] | None] = [None, None, None]
        self.tls = self.certificates.context() if self.certificates is not None else None

    def start(self) -> None:
        for index in range(3):
            self.start_one(index)
        self.await_leader()

    def start_one(self, index: int) -> None:
        site, scheme = self.sites[index], self.endpoints[index].partition(":")[0]
        peers = ",".join(f"v{i}={scheme}://{one}:2380" for i, one in enumerate(self.sites))
        command = [
            shutil.which("etcd") or "etcd", "--name", f"v{index}", "--data-dir", str(self.folder / f"v{index}"),
            "--listen-client-urls", f"{scheme}://{site}:2379", "--advertise-client-urls", f"{scheme}://{site}:2379",
            "--listen-peer-urls", f"{scheme}://{site}:2380", "--initial-advertise-peer-urls", f"{scheme}://{site}:2380",
            "--initial-cluster", peers, "--initial-cluster-token", str(self.folder), "--logger", "zap",
        ]  # fmt: skip
        if self.certificates is not None:
            trust = self.certificates
            for prefix in ("", "peer-"):
                command += [f"--{prefix}cert-file", str(trust.certificate), f"--{prefix}key-file", str(trust.key)]
                command += [f"--{prefix}trusted-ca-file", str(trust.authority), f"--{prefix}client-cert-auth"]
        with (self.folder / f"v{index}.log").open("ab") as log:
            self.processes[index] = subprocess.Popen(command, stdout=log, stderr=log)

    def await_leader(self) -> int:
        """Index of the leader, as soon as every running voter knows one. Fails after 20 s."""
        end = time.monotonic() + 20
        voters = EtcdVoters(endpoints=self.endpoints, tls=self.tls)
        try:
            while time.monotonic() < end:
                seen = voters.status(deadline_s=0.5)
                leads = [index for index, one in enumerate(seen) if one.leads]
                running = [one for one, process in zip(seen, self.processes, strict=True) if process is not None]
                if leads and all(one.leader == seen[leads[0]].member for one in running):
                    return leads[0]
                time.sleep(0.05)
        finally:
            voters.close()
        raise AssertionError("the voters found no leader in 20 s: " + str(self.folder))

    def lead_from(self, index: int) -> None:
        """Hand the leadership to one voter."""
        voters = EtcdVoters(endpoints=self.endpoints, tls=self.tls)
        try:
            end = time.monotonic() + 10
            while time.monotonic() < end:
                try:
                    voters.keep_leader_at(f"v{index}", deadline_s=3)
                except Unreachable:
                    time.sleep(0.1)
                    continue
                if self.await_leader() == index:
                    return
        finally:
            voters.close()
        raise AssertionError("the leader did not move")

    def send(self, index: int, number: signal.Signals) -> None:
        process = self.processes[index]
        assert process is not None
        os.kill(process.pid, number)

    def kill(self, index: int) -> None:
        self.send(index, signal.SIGKILL)
        process = self.processes[index]
        assert process is not None
        process.wait()
        self.processes[index] = None

    def heal(self) -> None:
        """Thaw the frozen, start the dead, wait for a leader."""
        for index, process in enumerate(self.processes):
            if process is None:
                self.start_one(index)
            else:
                self.send(index, signal.SIGCONT)
        self.await_leader()

    def stop(self) -> None:
        for index, process in enumerate(self.processes):
            if process is not None:
                process.kill()  # works on a frozen one too
                process.wait()
                self.processes[index] = None


def make_certificates(folder: Path, sites: tuple[str, ...]) -> Certificates:
    """One CA, one leaf with every address, usable by servers and clients (etcd's gateway calls itself as a client).

    127.0.0.1 too: etcd compares a peer's address with its certificate, and the kernel dials any 127.x from there.
    """
    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=5))
        )

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_certificate = (
        build("test CA", root)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
    )
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        build("voter", leaf)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(s)) for s in (*sites, "127.0.0.1")]), False
        )
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
    )
    made = Certificates(folder / "ca.pem", folder / "voter.pem", folder / "voter.key")
    made.authority.write_bytes(root_certificate.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
