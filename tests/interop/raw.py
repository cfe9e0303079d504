"""`go tool pprof -raw` as a value: types, period, samples, locations, mappings."""
import collections
import re

Line = collections.namedtuple("Line", "function file line")
Sample = collections.namedtuple("Sample", "values locations labels")
Mapping = collections.namedtuple("Mapping", "start limit file build_id flags")

LINE = re.compile(r"^(?P<function>.*) (?P<file>\S+):(?P<line>\d+):\d+ s=\d+(\(.*\))?$")


class Profile:
    def __init__(self, text):
        head, rest = text.split("Samples:\n")
        samples, rest = rest.split("Locations\n")
        locations, mappings = rest.split("Mappings\n")
        self.head = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        self._read_samples(samples.splitlines())
        self._read_locations(locations.splitlines())
        self.mappings = [Mapping(int(m[1], 16), int(m[2], 16), m[3], m[4], m[5]) for line in mappings.splitlines()
                         if (m := re.match(r"\d+: (0x[0-9a-f]+)/(0x[0-9a-f]+)/0x[0-9a-f]+ (\S*) (\w*) ?(.*)", line))]

    def _read_samples(self, lines):
        self.types = lines[0].split()
        self.samples = []
        for line in lines[1:]:
            if match := re.match(r"^ *(\d+(?: +\d+)*): ([\d ]+)$", line):
                self.samples.append(Sample([int(v) for v in match[1].split()], [int(n) for n in match[2].split()], {}))
            else:
                self.samples[-1].labels.update(re.findall(r"(\w+):\[(.*?)\](?= \w+:\[|\s*$)", line))

    def _read_locations(self, lines):
        self.locations, self.addresses, self.mapping_of = {}, {}, {}
        number = 0
        for line in lines:
            if match := re.match(r"^ *(\d+): (0x[0-9a-f]+) (?:M=(\d+) )?", line):
                number = int(match[1])
                self.addresses[number] = int(match[2], 16)
                self.mapping_of[number] = int(match[3] or 0)
                self.locations[number] = []
                line = line[match.end():]
            if match := LINE.match(line.strip()):
                self.locations[number].append(Line(match["function"], match["file"], int(match["line"])))

    def lines_of(self, sample):
        """Leaf first, inlined ones before what they are inlined into."""
        return [line for number in sample.locations for line in self.locations[number]]
