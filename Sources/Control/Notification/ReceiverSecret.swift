import Foundation
import Kernel

/// Where a secret of a receiver is to be read from: each time that it is needed, so that a changed one is in force at
/// once. It stands in no settings, no log and no answer.
enum ReceiverSecret: Sendable, Equatable {
    /// Bytes of a secret's file.
    static let bytesMax = 16_384

    /// A path; relative ones begin at the folder of the settings file.
    case file(String)
    /// The name of a variable of the process.
    case environment(String)

    /// From `…File` or `…Environment` of a receiver; `nil` where neither is given.
    init?(_ fields: Fields, _ name: String) throws {
        let (fileName, variableName) = ("\(name)File", "\(name)Environment")
        let file = try fields.optionalString(fileName, max: 1_024)
        let variable = try fields.optionalString(variableName, max: 200)
        switch (file, variable) {
        case (nil, nil): return nil
        case (_?, _?):
            throw Problem.invalid(fields.path(variableName), "only one of \(fileName) and \(variableName) is allowed")
        case (let file?, nil):
            guard !file.isEmpty, !file.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else { throw Problem.invalid(fields.path(fileName), "a path is expected") }
            // Words about a file that cannot be read name it.
            guard !file.contains("://") else {
                throw Problem.invalid(
                    fields.path(fileName), "this is an address, not the path of a file",
                    hint: "Write the address into a file that only Reeve may read, and its path here.")
            }
            self = .file(file)
        case (nil, let variable?):
            let isName =
                variable.first.map { !$0.isNumber } == true
                && variable.allSatisfy { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
            guard isName else {
                throw Problem.invalid(
                    fields.path(variableName), "the name of a variable such as PAGER_KEY is expected",
                    hint: "The secret itself does not belong in the settings.")
            }
            self = .environment(variable)
        }
    }

    /// What could not be read, in words without the secret.
    struct Missing: Error, Sendable {
        let reason: String
    }

    func read(besides settingsFile: String) throws(Missing) -> String {
        let text: String
        switch self {
        case .environment(let name):
            guard let value = ProcessInfo.processInfo.environment[name] else {
                throw Missing(reason: "the variable \(name) is not set")
            }
            text = value
        case .file(let path):
            guard let data = FileManager.default.contents(atPath: Self.path(path, besides: settingsFile)),
                data.count <= Self.bytesMax, let value = String(data: data, encoding: .utf8)
            else { throw Missing(reason: "the file \(path) cannot be read as at most \(Self.bytesMax) bytes of text") }
            text = value
        }
        let secret = text.trimmingCharacters(in: .whitespacesAndNewlines)
        let isPlain = secret.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        guard !secret.isEmpty, isPlain else { throw Missing(reason: "\(words) has no one line of text") }
        return secret
    }

    private var words: String {
        switch self {
        case .environment(let name): "the variable \(name)"
        case .file(let path): "the file \(path)"
        }
    }

    static func path(_ path: String, besides settingsFile: String) -> String {
        guard !path.hasPrefix("/"), let slash = settingsFile.lastIndex(of: "/") else { return path }
        return settingsFile[...slash] + path
    }
}
