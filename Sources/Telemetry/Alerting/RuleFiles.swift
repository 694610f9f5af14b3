import Foundation
import Kernel

/// Rule files on this machine.
public enum RuleFiles {
    /// Files that one pattern may name.
    public static let filesMax = 1_000

    public static func text(_ file: String) throws -> String {
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        guard let text = String(data: data, encoding: .utf8) else {
            throw MarkedYAML.Fault(line: 1, column: 1, reason: "this is no text in UTF-8")
        }
        return text
    }

    public static func read(_ file: String) -> Result<RuleProgram, RuleReader.Refusal> {
        do { return .success(try RuleReader.read(try text(file))) } catch let refusal as RuleReader.Refusal {
            return .failure(refusal)
        } catch {
            let fault = error as? MarkedYAML.Fault
            let reason = "the file cannot be read: \(error.localizedDescription)"
            return .failure(.init([fault ?? .init(line: 0, column: 0, reason: reason)]))
        }
    }

    /// The files that a pattern such as `rules/*.yml` names, from the folder of another file on; in their order.
    public static func paths(_ pattern: String, from file: String) -> [String] {
        let folder = (file as NSString).deletingLastPathComponent
        let path = pattern.hasPrefix("/") || folder.isEmpty ? pattern : "\(folder)/\(pattern)"
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(path, 0, nil, &found) == 0 else { return [] }
        return (0..<min(Int(found.gl_pathc), filesMax)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
}

extension MarkedYAML.Fault {
    /// Where it is, and what it is.
    public var json: JSONValue {
        ["line": .int(Int64(line)), "column": .int(Int64(column)), "detail": .string(reason)]
    }
}
