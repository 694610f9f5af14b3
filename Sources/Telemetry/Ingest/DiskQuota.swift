import Foundation
import Kernel

/// What is taken in while telemetry has as much of the disk as it may have: the less a category tells of what went
/// wrong and who did what, the sooner it goes. Errors and what is for the audit are always taken.
struct DiskQuota: Sendable {
    /// The shares of the quota from which on a category is shed.
    static let shares: [(category: TelemetryCategory, share: Double)] = [
        (.reasoning, 1), (.tool, 1.05), (.model, 1.1), (.system, 1.1),
    ]

    /// Bytes.
    let quota: Int

    /// The categories that are shed while so many bytes are taken.
    func shed(at bytes: Int) -> Set<TelemetryCategory> {
        Set(Self.shares.filter { Double(bytes) >= Double(quota) * $0.share }.map(\.category))
    }

    /// Bytes of the files in a folder and in those within it.
    static func bytes(of folder: String) -> Int {
        guard
            let files = FileManager.default.enumerator(
                at: URL(fileURLWithPath: folder), includingPropertiesForKeys: [.fileSizeKey])
        else { return 0 }
        return files.reduce(0) { sum, file in
            let size = try? (file as? URL)?.resourceValues(forKeys: [.fileSizeKey]).fileSize
            return sum + (size ?? 0)
        }
    }
}
