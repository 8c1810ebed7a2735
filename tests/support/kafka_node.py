"""One node of Apache Kafka from its jars, whose log directory outlives it: started, stopped or killed, looked into, started again."""
import pathlib
import shutil
import subprocess
import tempfile

import foreign
from cluster import free_base_port, run, wait_until

SETTINGS = {
    'offsets.topic.replication.factor': 1, 'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1, 'transaction.state.log.min.isr': 1, 'transaction.state.log.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0, 'auto.create.topics.enable': 'false',
    # The cleaner looks around all the time.
    'log.cleaner.backoff.ms': 200,
}

CONTROLLER_PORT_OFFSET = 3

# What starts quickly; and what Kafka's own scripts give a broker, for benchmarks.
SMALL_JAVA = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
OWN_JAVA = ['-Xmx1G', '-Xms1G', '-XX:+UseG1GC']


class KafkaNode:
    """`with KafkaNode() as kafka:` formats and starts it, and removes everything at the end."""

    def __init__(self, settings=None, java=None, directory=None, number=1, port=None, voters=None):
        """One of several has its number and its port, and `voters` as Kafka writes them; it is then started, and not waited for."""
        self.settings = SETTINGS if settings is None else settings
        self.number, self.port, self.voters = number, port, voters
        self.java = ['java', *(java or SMALL_JAVA), '-cp', foreign.java_classpath()]
        self.parent = directory

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='kafka-node-', dir=self.parent))
        self.data = self.directory / 'data'
        self.process = None
        port = self.port or free_base_port(1)
        self.bootstrap = f'127.0.0.1:{port}'
        self.config = self.directory / 'server.properties'
        lines = {'process.roles': 'broker,controller', 'node.id': self.number,
                 'controller.quorum.voters': self.voters or f'{self.number}@127.0.0.1:{port + CONTROLLER_PORT_OFFSET}',
                 'listeners': f'PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + CONTROLLER_PORT_OFFSET}',
                 'controller.listener.names': 'CONTROLLER', 'log.dirs': self.data, **self.settings}
        self.config.write_text(''.join(f'{key}={value}\n' for key, value in lines.items()))
        try:
            run(*self.java, 'kafka.tools.StorageTool', 'format', '-t', '4L6g3nShT-eMCtK--X86sw', '-c', str(self.config))
            if self.voters is None:
                self.start()
            else:
                self.launch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def launch(self):
        """Starts it, and does not wait."""
        with open(self.directory / 'log', 'a') as log:
            self.process = subprocess.Popen([*self.java, 'kafka.Kafka', str(self.config)], stdout=log, stderr=log, cwd=self.directory)

    def start(self):
        self.launch()
        wait_until(lambda: self.process.poll() is not None or run('kcat', '-b', self.bootstrap, '-L', '-m', '2', check=False).returncode == 0,
                   'Kafka up', 90)
        if self.process.poll() is not None:
            raise AssertionError('Kafka ended:\n' + (self.directory / 'log').read_text()[-3000:])

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
