package backup_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"berth/internal/backup"
	"berth/internal/bucket"
)

// It needs a bucket and a PostgreSQL server, so it is compiled and not run. cmd/backup
// tests the same against real ones.
func Example() {
	ctx := context.Background()
	b, err := bucket.New(bucket.Options{
		Endpoint: "s3.eu-central-1.amazonaws.com", Region: "eu-central-1", Name: "shop-backups",
		AccessKey: os.Getenv("BUCKET_ACCESS_KEY"), SecretKey: os.Getenv("BUCKET_SECRET_KEY"), Prefix: "backups/shop/",
	})
	if err != nil {
		log.Fatal(err)
	}
	database, err := backup.ParseDatabase("postgres://backup@db.example.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	job := &backup.Job{Bucket: b, Database: database, Log: slog.Default(), Now: time.Now}

	manifest, err := job.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	// Only a restore shows that the backup is good.
	verified, err := job.Verify(ctx, manifest.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(manifest.ID, "restores:", verified.OK)

	if _, err := job.Prune(ctx, backup.Retention{Last: 7, Daily: 14}); err != nil {
		log.Fatal(err)
	}
}

func ExampleParseFile() {
	path, isSQLite, err := backup.ParseFile("sqlite:////data/app.db")
	fmt.Println(path, isSQLite, err)
	// Output: /data/app.db true <nil>
}

func ExampleParseDatabase() {
	database, err := backup.ParseDatabase("postgres://app:secret@db.example.com/shop")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(database.Name())
	// Output: shop
}
