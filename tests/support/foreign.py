"""Clients that nobody here wrote, brought by their own package managers into build/compat, versions pinned. A registry that does not answer ends the test
with a line `NOT RUN`, which ctest reports as skipped: it says nothing about Sluice."""
import base64
import os
import pathlib
import shutil
import subprocess
import sys

from cluster import ROOT

COMPAT = ROOT / 'tests/compat'
CACHE = ROOT / 'build/compat'
GRPCURL = 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3'


def not_run(reason):
    print(f'NOT RUN: {reason}', flush=True)
    sys.exit(0)


def fetch(what, *command, **options):
    if shutil.which(command[0]) is None:
        not_run(f'{command[0]} is missing; it brings {what}')
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, **options)
    if done.returncode != 0:
        print(done.stdout[-2000:], done.stderr[-2000:])
        not_run(f'{command[0]} could not bring {what}')


def fetched(stamp, *inputs):
    """Whether `stamp` is younger than all of `inputs`."""
    return stamp.exists() and all(stamp.stat().st_mtime >= path.stat().st_mtime for path in inputs)


def java_classpath():
    """Apache Kafka's jars, as a class path."""
    pom, stamp, jars = COMPAT / 'pom.xml', CACHE / 'java.stamp', CACHE / 'jars'
    if not fetched(stamp, pom):
        fetch('Apache Kafka 4.3.1', 'mvn', '-q', '-B', '-f', str(pom), 'dependency:copy-dependencies', f'-DoutputDirectory={jars}')
        stamp.touch()
    return f'{jars}/*'


def java_command(main_class, *arguments, heap='128m'):
    """A JVM that starts quickly."""
    return ['java', f'-Xmx{heap}', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', java_classpath(), main_class, *arguments]


def kafka_tool(main_class, *arguments, check=True, stdin=None, timeout=120):
    """Runs a command line tool of Apache Kafka by its main class."""
    done = subprocess.run(java_command(main_class, *arguments, heap='256m'), capture_output=True, text=True, input=stdin, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f'{main_class} {" ".join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}')
    return done


class ToolBox:
    """Kafka's command line tools in one JVM; `with ToolBox() as tools: tools.run(main_class, *arguments)`."""

    def __enter__(self):
        command = java_command(str(COMPAT / 'ToolBox.java'), heap='256m')
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def run(self, *command):
        self.process.stdin.write(b' '.join(base64.b64encode(word.encode()) for word in command) + b'\n')
        self.process.stdin.flush()
        code, *sizes = map(int, self.process.stdout.readline().split())
        return subprocess.CompletedProcess(command, code, *(self.process.stdout.read(size).decode() for size in sizes))

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def python_with_clients():
    """A Python of its own that has the clients of requirements.txt."""
    requirements, stamp, venv = COMPAT / 'requirements.txt', CACHE / 'python.stamp', CACHE / 'venv'
    if not fetched(stamp, requirements):
        CACHE.mkdir(parents=True, exist_ok=True)
        fetch('a virtual environment', sys.executable, '-m', 'venv', '--clear', str(venv))
        fetch('the Python clients', str(venv / 'bin/pip'), 'install', '-q', '--disable-pip-version-check', '-r', str(requirements))
        stamp.touch()
    return str(venv / 'bin/python')


def node_directory():
    """A directory whose node_modules has kafkajs; scripts run there."""
    manifest, stamp, directory = COMPAT / 'package.json', CACHE / 'node.stamp', CACHE / 'node'
    if not fetched(stamp, manifest):
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, directory)
        fetch('kafkajs', 'npm', 'install', '--silent', '--no-audit', '--no-fund', cwd=directory)
        stamp.touch()
    return directory


def go_member():
    """The program of tests/compat/go_member, with segmentio/kafka-go and IBM/sarama."""
    sources, program = COMPAT / 'go_member', CACHE / 'go/go_member'
    if not fetched(program, sources / 'main.go', sources / 'go.mod', sources / 'go.sum'):
        program.parent.mkdir(parents=True, exist_ok=True)
        fetch('segmentio/kafka-go and IBM/sarama', 'go', 'build', '-o', str(program), '.', cwd=sources)
    return str(program)


def grpcurl():
    program = CACHE / 'bin/grpcurl'
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fetch('grpcurl', 'go', 'install', GRPCURL, env={**os.environ, 'GOBIN': str(CACHE / 'bin'), 'GOFLAGS': '-mod=mod'})
    return str(program)
