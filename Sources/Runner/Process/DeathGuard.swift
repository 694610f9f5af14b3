import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// Kills the supervised groups when the supervisor itself dies, however it dies.
///
/// It is one small shell in a process group of its own that reads from a pipe which only the supervisor holds open:
/// when the pipe closes, it sends TERM to every group on its list, and KILL two seconds later. `PR_SET_PDEATHSIG` would
/// reach the first process alone, and belongs to a thread, not a process; this reaches whole groups, on any POSIX
/// system. A folder with secrets goes last.
public final class DeathGuard: Sendable {
    private static let script = """
        trap '' HUP INT TERM
        groups=' '
        folder=
        while read -r verb group; do
          case $verb in
            add) groups="$groups$group " ;;
            clear) folder="$group" ;;
            drop) groups="${groups%%" $group "*} ${groups#*" $group "}" ;;
          esac
        done
        set -- $groups
        if [ $# -gt 0 ]; then
          for group in $groups; do kill -s TERM -- "-$group"; done
          sleep 2
          for group in $groups; do kill -s KILL -- "-$group"; done
        fi
        [ -z "$folder" ] || rm -rf -- "$folder" "$folder.lock"
        """

    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Starts the guard; `nil` where there is no shell to start, as in a container with nothing but the program.
    public static func start() async -> DeathGuard? {
        // Should the guard itself be killed, a word to it must not end the supervisor.
        signal(SIGPIPE, SIG_IGN)
        guard let pipe = PipeEnds.make() else { return nil }
        var options = PlatformOptions()
        options.processGroupID = 0
        let configuration = Subprocess.Configuration(
            executable: .path("/bin/sh"), arguments: ["-c", script, "reeve-guard"], platformOptions: options)
        let started = Promise<Bool>()
        // Lives as long as the process, by design: nothing waits for it, and it ends by itself after the supervisor.
        Task.detached {
            _ = try? await Subprocess.run(
                configuration,
                input: .fileDescriptor(FileDescriptor(rawValue: pipe.read), closeAfterSpawningProcess: true),
                output: .discarded, error: .discarded
            ) { _ in started.fulfil(true) }
            started.fulfil(false)
        }
        guard await started.value() == true else {
            close(pipe.write)
            return nil
        }
        return DeathGuard(descriptor: pipe.write)
    }

    func watch(_ group: Int32) { tell("add \(group)\n") }
    func forget(_ group: Int32) { tell("drop \(group)\n") }

    /// Removes this folder when everything else has ended.
    public func clear(_ folder: String) {
        guard !folder.contains("\n") else { return }
        tell("clear \(folder)\n")
    }

    /// One write below PIPE_BUF is atomic, so lines of several threads do not mix.
    private func tell(_ line: String) {
        let bytes = Array(line.utf8)
        _ = write(descriptor, bytes, bytes.count)
    }

    deinit { close(descriptor) }
}
