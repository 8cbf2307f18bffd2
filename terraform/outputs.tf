output "functions" {
  description = "Where each function is called."
  value       = { for name, function in google_cloudfunctions2_function.served : name => function.service_config[0].uri }
}

output "listener_image" {
  description = "The image that the listener runs."
  value       = local.images
}

output "schedules" {
  description = "The jobs of Cloud Scheduler, by function (`plumbline schedules list`)."
  value       = { for name, job in google_cloud_scheduler_job.all : name => job.name }
}

output "dashboards" {
  description = "Where the dashboards are seen."
  value       = { for name, dashboard in google_monitoring_dashboard.all : name => "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(dashboard.id)}?project=${var.project_id}" }
}
